#!/usr/bin/env bash
# Scenes, two pretrainings, the same fine-tuning, stock folders, questions, one page: from nothing,
# on the embedded models, in about an hour on two CPU cores.
#   bash examples/two_pretrainings.sh runs/sequence
# With LMMS_PYTHON=build/lmms/bin/python (make lmms) lmms-eval asks the stock folders a local task
# too. Other recipes, sizes and containers: the variables below. On EfficientNet-Lite0, whose
# container FastVlm needs timm and torchvision:
#   CAPTION=embedded/caption_stock MMCS=embedded/code_switch_stock SFT=embedded/sft \
#     CONTAINER=fast_vlm bash examples/two_pretrainings.sh runs/sequence
set -eu
out=${1:-runs/sequence}
: "${CAPTION:=embedded/caption_tower}" "${MMCS:=embedded/code_switch_tower}"
: "${SFT:=embedded/sft_tower}" "${CONTAINER:=aya_vision}"
: "${SCENES:=256}" "${QUESTIONS:=256}" "${ASKED:=64}" "${LMMS_PYTHON:=}"

diglot scenes "$out/scenes" --count "$SCENES"
diglot scenes "$out/questions" --instruct --count "$QUESTIONS"

for name in caption mmcs; do
  recipe=$CAPTION
  if [ "$name" = mmcs ]; then recipe=$MMCS; fi
  diglot train --config "$recipe" --data "$out/scenes" --out "$out/$name" \
    --features.folder "$out/features"
  diglot train --config "$SFT" --start_from "$out/$name/model" --data "$out/questions" \
    --out "$out/sft/$name" --features.folder "$out/features"
  diglot export "$out/sft/$name/model" --to "$CONTAINER" --out "$out/exported/$name"
done

# Scenes of other pictures: the same questions to both, every answer in offline/answers.html.
diglot evaluate "$out/sft/caption" "$out/sft/mmcs" --out "$out/offline" --count "$ASKED" \
  --json "$out/offline.json"
results=("$out/offline.json")

if [ -n "$LMMS_PYTHON" ]; then
  diglot evaluate "$out/exported/caption" "$out/exported/mmcs" --harness lmms --tasks counting,presence \
    --count "$ASKED" --lmms.python "$LMMS_PYTHON" --out "$out/lmms" --json "$out/lmms.json"
  results+=("$out/lmms.json")
fi

diglot report "${results[@]}" --title "Two pretrainings, one fine-tuning" --out "$out/page.html"
