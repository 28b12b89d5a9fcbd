"""What an untrusted file or text may hold: strict JSON, visible characters, distinct names, safe text per format."""
