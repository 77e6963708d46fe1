"""What a rule needs to know: staleness, servers, students, and the one adapter to Snakemake."""
