"""The service's HTTP interface and its command line."""
