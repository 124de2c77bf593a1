"""What there is to count with: rates, e-processes, confidence sequences, the decision rule. numpy only."""
