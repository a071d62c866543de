"""What is wrong with what was observed: rules from a run, two captures or one to findings. Pure."""
