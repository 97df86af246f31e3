"""The texts that the offline tasks ask in, in one place: what a model is trained on may match them.

The box question and its answer are LLaVA-1.5's (Liu et al. 2023, arXiv 2310.03744).
"""

REFERRING = "Please provide the bounding box coordinate of the region this sentence describes: {}."
PRESENCE = "Is there {} in the picture? Answer yes or no."
COUNTING = "How many {} are there in the picture? Answer with a number."
COLOUR = "What colour is the {}? Answer with one word."
POSITION = "Is the {} {} or {} the {}? Answer with {} or {}."
REGION_NAMING = "What is in the region {}? Answer with its name."
READING = "What does the text in the region {} say?"
CHART_VALUE = "What is the value of the {}? Answer with a number."
BREED = "What breed is the dog in the picture?"
LETTER = "Answer with the option's letter from the given choices directly."
DETAILED = "Describe the picture in detail."
DESCRIPTION = "Describe the picture in one or two sentences."
