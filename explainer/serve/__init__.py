"""The engine on another machine: Ray Serve on that side, HTTP and safetensors in between."""
