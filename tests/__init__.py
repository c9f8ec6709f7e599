"""The tests are a package so that a worker process can import their job functions as `tests.…`."""
