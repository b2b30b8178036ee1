"""A Kubernetes API server in one process: state, protocol, patches, schemas, and the HTTP face that kubectl sees."""
