"""`distill doctor`: diagnose this machine."""
