"""What guides a campaign to where it has not been: signals, seeds, mutations."""
