"""One file per family of cues; each defines `cues(material)`."""
