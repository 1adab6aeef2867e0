"""Commands that train and measure: run, evaluate, launch, slurm, sweep."""
