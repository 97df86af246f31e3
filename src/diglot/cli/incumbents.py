"""What other trainers call an option, and what it is called here."""

# Left: names of LLaVA's scripts, transformers' TrainingArguments, TRL, ms-swift, LLaMA-Factory.
OURS = {
    "learning_rate": "optim.lr",
    "lr": "optim.lr",
    "weight_decay": "optim.weight_decay",
    "adam_beta1": "optim.beta1",
    "adam_beta2": "optim.beta2",
    "adam_epsilon": "optim.eps",
    "warmup_ratio": "optim.warmup",
    "max_grad_norm": "optim.clip",
    "gradient_clipping": "optim.clip",
    "per_device_train_batch_size": "micro_batch",
    "batch_size": "global_batch",
    "train_batch_size": "global_batch",
    "num_train_epochs": "epochs",
    "num_epochs": "epochs",
    "max_train_steps": "max_steps",
    "lr_scheduler_type": "optim.schedule",
    "scheduler": "optim.schedule",
    "mm_projector_lr": "optim.projector_lr",
    "vision_lr": "optim.encoder_lr",
    "vit_lr": "optim.encoder_lr",
    "output_dir": "out",
    "data_path": "data",
    "dataset": "data",
    "data_dir": "data",
    "train_data": "data",
    "model_name_or_path": "model.language.path",
    "model": "model.language.path",
    "llm": "model.language.path",
    "vision_tower": "model.encoder",
    "vision_encoder": "model.encoder",
    "mm_projector_type": "model.projector",
    "mm_vision_select_layer": "model.encoder.layer",
    "pretrain_mm_mlp_adapter": "start_from",
    "image_aspect_ratio": "model.preprocess.mode",
    "dataloader_num_workers": "workers",
    "num_workers": "workers",
    "save_steps": "checkpoint_every",
    "eval_steps": "probe_every",
    "attn_implementation": "model.attention",
    "max_train_samples": "max_samples",
    "torch_dtype": "model.language.dtype",
    "dtype": "model.language.dtype",
    "recipe": "config",
    "config_file": "config",
    "lora_r": "trainable.lora.rank",
    "lora_rank": "trainable.lora.rank",
    "lora_alpha": "trainable.lora.alpha",
    "lora_dropout": "trainable.lora.dropout",
    "steps": "max_steps",
    "save_interval": "checkpoint_every",
    "mixed_precision": "precision",
    "run_name": "out",
}
NOT_CUT = (
    "records are never cut: one longer than the language model reads is rejected, and --row_tokens "
    "is the length of the rows that records are packed into"
)
WRITTEN = {
    **dict.fromkeys(("model_max_length", "max_length", "max_seq_length", "cutoff_len"), NOT_CUT),
    "gradient_accumulation_steps": "it follows from --global_batch, --micro_batch and the number "
    "of processes",
    "bf16": "write --precision bf16",
    "fp16": "write --precision fp16",
    "tune_mm_mlp_adapter": "write --trainable.projector true",
    "freeze_backbone": "write --trainable.language false",
    "warmup_steps": "write --optim.warmup, their share of all steps",
    "logging_steps": "every step is logged, in metrics.jsonl and TensorBoard",
    "log_every": "every step is logged, in metrics.jsonl and TensorBoard",
    "save_total_limit": "the newest state alone is kept; --keep_every keeps models",
    "device": "a GPU is taken where there is one; CUDA_VISIBLE_DEVICES chooses among several",
    "device_map": "a GPU is taken where there is one; CUDA_VISIBLE_DEVICES chooses among several",
    "load_in_4bit": "weights are not quantised; --model.language.dtype bf16 halves frozen ones",
    "load_in_8bit": "weights are not quantised; --model.language.dtype bf16 halves frozen ones",
    "freeze_vit": "write --trainable.encoder false",
    "freeze_vision_tower": "write --trainable.encoder false",
    "freeze_llm": "write --trainable.language false",
    "unfreeze_mm_vision_tower": "write --trainable.encoder true",
    "use_lora": "write --trainable.lora.rank 16",
    "use_peft": "write --trainable.lora.rank 16",
    "lora_enable": "write --trainable.lora.rank 16",
    "resume": "the same command again resumes a run",
    "do_train": "`diglot train` trains; leave it out",
    "resume_from_checkpoint": "the same command again resumes a run",
    "deepspeed": "choose DeepSpeed (ZeRO 1) or FSDP 2 in `accelerate config`",
    "report_to": "write --trackers [wandb]; TensorBoard files lie in the run folder",
}


def incumbent_hint(name: str) -> str | None:
    """What to write instead of another trainer's option; None where its name is not known."""
    name = name.replace("-", "_")
    if name in WRITTEN:
        return WRITTEN[name]
    return f"here it is --{OURS[name]}" if name in OURS else None
