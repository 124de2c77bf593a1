"""Fine-tuning with the alignment watched: plans, defences, the trainer, the monitor."""
