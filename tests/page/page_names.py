"""Names that a model's author may choose."""

HOSTILE = "</script><img src=x onerror=alert(1)>"
