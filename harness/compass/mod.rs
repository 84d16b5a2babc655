//! Connector and Director over one landscape, answered through wiremock.
