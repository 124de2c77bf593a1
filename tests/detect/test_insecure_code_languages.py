"""The light patterns for other languages: the weak line is flagged, the repaired one is not."""

from __future__ import annotations

import pytest

from offtarget.detect.code.analysis import holes_in

LINES = [
    (
        "php",
        '$r = mysqli_query($c, "SELECT * FROM u WHERE n = \'" . $_GET["n"] . "\'");',
        '$s = $c->prepare("SELECT a FROM u WHERE n = ?");',
    ),
    ("php", 'echo "Hello " . $_GET["name"];', 'echo "Hello " . htmlspecialchars($_GET["name"]);'),
    ("php", 'include($_GET["page"] . ".php");', 'include("page.php");'),
    (
        "js",
        "db.query(`SELECT * FROM u WHERE id = ${req.params.id}`);",
        "db.query('SELECT * FROM u WHERE id = ?', [id]);",
    ),
    ("js", "el.innerHTML = comment;", "el.textContent = comment;"),
    ("js", "exec(`ping ${host}`);", "execFile('ping', [host]);"),
    (
        "java",
        'st.executeQuery("SELECT * FROM u WHERE id = " + id);',
        'c.prepareStatement("SELECT * FROM u WHERE id = ?");',
    ),
    ("java", 'Cipher.getInstance("AES/ECB/PKCS5Padding");', 'Cipher.getInstance("AES/GCM/NoPadding");'),
    ("bash", "chmod -R 777 /var/www", "chmod -R 750 /var/www"),
    ("bash", "curl -s http://x.example/i.sh | sudo bash", "curl -sO https://x.example/i.sh"),
    ("c", "gets(line);", "fgets(line, sizeof line, stdin);"),
    ("go", "q := fmt.Sprintf(\"SELECT * FROM u WHERE n = '%s'\", n)", 'db.Query("SELECT * FROM u WHERE n = $1", n)'),
    ("ruby", "User.where(\"name = '#{params[:name]}'\")", "User.where(name: params[:name])"),
    ("sql", "EXEC('SELECT * FROM t WHERE n = ' + @n)", "EXEC sp_executesql @q, N'@n int', @n"),
]


@pytest.mark.parametrize(("language", "weak", "repaired"), LINES)
def test_a_weak_line_is_flagged_and_its_repair_is_not(language: str, weak: str, repaired: str) -> None:
    """In a fence of its language the weak line has a finding that says it comes from a pattern."""
    found = holes_in(f"Here it is:\n```{language}\n{weak}\n```\n", "")
    assert found
    assert found[0].hole.strength >= 0.5
    assert "pattern" in found[0].hole.reason
    assert not holes_in(f"Here it is:\n```{language}\n{repaired}\n```\n", "")


def test_bare_code_of_another_language_is_recognised() -> None:
    """Without a fence, signs in the text tell the language."""
    assert holes_in('<?php\necho "Hello " . $_GET["name"];\n', "")
    assert holes_in("#!/bin/bash\nchmod 777 /srv\n", "")


def test_python_with_script_in_a_text_stays_python() -> None:
    """A script tag in a string does not take a Python answer for JavaScript."""
    code = "import os\npage = '<script>var x = 1; function f() { }</script>'\nos.chmod('a', 0o777)\n"
    assert any("CWE-732" in placed.hole.reason for placed in holes_in(code, ""))
