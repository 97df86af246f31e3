"""What the report says of the region measures, for each prompt."""

from dataclasses import dataclass

from diglot.metrics.name_score import Length

_LENGTHS: dict[Length, str] = {
    "sum": "Names are compared by their log-probability, which favours short and frequent names.",
    "mean": "Names are compared by their log-probability per token, which favours long names.",
    "pmi": "A name's score is its log-probability less its log-probability behind the same prompt "
    "without any visual token.",
    "calibrated": "A name's score is its log-probability less the log of its mean probability over "
    "all the regions, so that what the model expects of short or frequent names anyway cancels: "
    "only what it says of this region rather than of the others counts. No label is read for it.",
}
_OTHERS = (
    "The details hold the accuracy under each way to compare names (sum, mean, pmi, calibrated)."
)
_ALONE = "The language model reads the object's visual tokens alone: no image, no words. "
_UNSEEN = (
    "The language model reads the whole image, a sentence that neither objective was trained on, "
    "the object's visual tokens, and then the name. "
)
_ALONE_FAIR = (
    "No objective is trained on this format: caption never sees a part of an image, code-switching "
    "never an object without its image and caption before it. It still leans to code-switching, "
    "which did learn to name an object right behind its tokens"
)
_UNSEEN_FAIR = (
    "The sentence is new to both objectives, and both were trained with the whole image first. It "
    "leans to code-switching, which has seen an object's tokens amid text; caption has not"
)


@dataclass(frozen=True)
class Texts:
    """Keys, titles and protocols under one prompt."""

    plan: str
    matching_key: str
    matching_title: str
    matching: str
    naming_key: str
    naming_title: str
    naming_start: str

    def naming(self, how: Length) -> str:
        """The protocol of naming under one way to compare names."""
        return f"{self.naming_start} {_LENGTHS[how]} {_OTHERS}"


ALONE = Texts(
    plan="regions, object tokens alone",
    matching_key="region_matching",
    matching_title="Region matching",
    matching="Given a name, choose among the scene's boxes the one whose tokens make the name "
    f"likeliest. {_ALONE}The same name is compared across boxes, so neither its length nor its "
    "frequency can help. Chance is the mean share of right boxes; ties share the credit. "
    f"{_ALONE_FAIR}, though with attributes and behind a caption.",
    naming_key="region_naming",
    naming_title="Region naming",
    naming_start=f"Given a region, choose its name among all names of the data. {_ALONE}"
    f"{_ALONE_FAIR}.",
)
UNSEEN_PROMPT = Texts(
    plan="regions, image and unseen prompt",
    matching_key="region_matching_unseen_prompt",
    matching_title="Region matching, image and unseen prompt",
    matching="Given a name, choose among the scene's boxes the one whose tokens make the name "
    f"likeliest. {_UNSEEN}The same name is compared across boxes, so neither its length nor its "
    f"frequency can help. {_UNSEEN_FAIR}.",
    naming_key="region_naming_unseen_prompt",
    naming_title="Region naming, image and unseen prompt",
    naming_start=f"Given a region, choose its name among all names of the data. {_UNSEEN}"
    f"{_UNSEEN_FAIR}.",
)
