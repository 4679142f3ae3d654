//! With a configuration nobody enters without proof.
