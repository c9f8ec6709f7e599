"""One typed function per transition or view: packs the arguments, decodes the reply. No I/O here."""
