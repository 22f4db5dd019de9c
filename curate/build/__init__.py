"""The build: which stages run in which order, on which files, and the folder that they end in."""
