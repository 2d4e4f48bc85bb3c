//! Names of sysctl.
