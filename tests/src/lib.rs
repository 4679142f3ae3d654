//! The harness of the world tests.
