//! A Kubernetes API server in process and in memory; knows nothing of Compass and nothing of faults.
