"""An OpenAI-compatible server for models of this package, so that the gateway can have them as upstreams."""
