"""From a question file to the questions that are rolled out: seeds, tagging, sampling."""
