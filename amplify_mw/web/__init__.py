"""HTTP as bytes and values; pure."""
