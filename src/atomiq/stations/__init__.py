"""What runs in a warm child: it claims, runs and settles by itself, under a supervisor that keeps its leases."""
