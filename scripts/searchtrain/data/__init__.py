"""The artefacts: table schemas, question files, records, lineage, and when an answer is right."""
