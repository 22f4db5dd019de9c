"""What people read of a dataset: card, report, statistics, differences."""
