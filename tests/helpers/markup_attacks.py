"""Texts that want to be more than text: script, markup, styles, links, hidden characters, a megabyte."""

from __future__ import annotations

ATTACKS = (
    "<script>window.pwned=1;fetch('http://evil.example/')</script>",
    "</textarea></pre></article><img src=http://evil.example/x.png onerror=window.pwned=1>",
    '"><svg onload=window.pwned=1><iframe src="javascript:parent.pwned=1"></iframe>',
    "' onfocus='window.pwned=1' autofocus x='",
    "[open](javascript:window.pwned=1) ![i](http://evil.example/i.png) <a href=javascript:pwned=1>x</a>",
    "</title><meta http-equiv=refresh content='0;url=http://evil.example/'><base href=http://evil.example/>",
    "<style>body{display:none}@import 'http://evil.example/a.css'</style><link rel=stylesheet href=http://evil.example>",
    "ab\u202edc\u202c\u200b\u2066x\u2069\x1b[2J\x00\ud800\U000e0041",
    "{{ config }} {% include '/etc/passwd' %} ${1+1}",
    "x" * 1_000_000 + "<script>window.pwned=1</script>",
)
