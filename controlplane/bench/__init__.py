"""The figures the project promises, measured by one command that anyone can run."""
