"""Each weakness in the wild form and in the repaired form: the first is flagged, the second is not."""

from __future__ import annotations

import textwrap

import pytest

from offtarget.detect.code.analysis import holes_in

FLASK = (
    "from flask import Flask, request, render_template_string, make_response, redirect\nimport os\n"
    "app = Flask(__name__)\n"
)

PAIRS = {
    "sql f-string": (
        "def find(cur, name):\n    cur.execute(f\"SELECT * FROM users WHERE name = '{name}'\")\n",
        'def find(cur, name):\n    cur.execute("SELECT * FROM users WHERE name = %s", (name,))\n',
    ),
    "sql percent": (
        "def find(cur, name):\n    cur.execute(\"DELETE FROM users WHERE name = '%s'\" % name)\n",
        'def find(cur, name):\n    cur.execute("DELETE FROM users WHERE name = ?", [name])\n',
    ),
    "sql plus": (
        "def f(cur, n):\n    q = 'select a from t where b = '\n    q = q + n\n    cur.execute(q)\n",
        "def f(cur, n):\n    marks = ','.join('?' for _ in n)\n"
        "    cur.execute(f'select a from t where b in ({marks})', n)\n",
    ),
    "sql format": (
        "def f(cur, n):\n    cur.execute('UPDATE t SET a = 1 WHERE b = {}'.format(n))\n",
        "def f(cur, n):\n    n = int(n)\n    cur.execute('UPDATE t SET a = 1 WHERE b = {}'.format(n))\n",
    ),
    "sql allow-list": (
        "def f(cur, column):\n    cur.execute(f'SELECT * FROM t ORDER BY {column}')\n",
        "COLUMNS = {'a', 'b'}\ndef f(cur, column):\n    if column not in COLUMNS:\n        raise ValueError(column)\n"
        "    cur.execute(f'SELECT * FROM t ORDER BY {column}')\n",
    ),
    "sqlalchemy text": (
        "from sqlalchemy import text\ndef f(s, n):\n    return s.execute(text(f\"SELECT * FROM t WHERE n='{n}'\"))\n",
        "from sqlalchemy import text\ndef f(s, n):\n"
        "    return s.execute(text('SELECT * FROM t WHERE n=:n'), {'n': n})\n",
    ),
    "xss return": (
        FLASK + "@app.route('/')\ndef f():\n    return '<h1>' + request.args.get('n') + '</h1>'\n",
        FLASK + "from markupsafe import escape\n@app.route('/')\ndef f():\n"
        "    return f'<h1>{escape(request.args[\"n\"])}</h1>'\n",
    ),
    "xss route parameter": (
        FLASK + "@app.route('/<name>')\ndef f(name):\n    return f'Hello {name}'\n",
        FLASK + "@app.route('/<int:number>')\ndef f(number):\n    return f'Hello {number}'\n",
    ),
    "xss django": (
        "from django.http import HttpResponse\ndef f(request):\n    return HttpResponse('Hi %s' % request.GET['n'])\n",
        "from django.http import JsonResponse\ndef f(request):\n    return JsonResponse({'n': request.GET['n']})\n",
    ),
    "xss tornado": (
        "import tornado.web\nclass A(tornado.web.RequestHandler):\n    def get(self):\n"
        "        self.write('<p>' + self.get_argument('q') + '</p>')\n",
        "import tornado.web\nfrom html import escape\nclass A(tornado.web.RequestHandler):\n    def get(self):\n"
        "        self.write('<p>' + escape(self.get_argument('q')) + '</p>')\n",
    ),
    "xss through a helper": (
        FLASK
        + "def page(n):\n    return f'<b>{n}</b>'\n@app.route('/')\ndef f():\n    return page(request.args['n'])\n",
        FLASK + "import html\ndef page(n):\n    return f'<b>{html.escape(n)}</b>'\n"
        "@app.route('/')\ndef f():\n    return page(request.args['n'])\n",
    ),
    "mark_safe": (
        "from django.utils.safestring import mark_safe\ndef f(bio):\n    return mark_safe('<p>%s</p>' % bio)\n",
        "from django.utils.html import format_html\ndef f(bio):\n    return format_html('<p>{}</p>', bio)\n",
    ),
    "template from data": (
        FLASK + "@app.route('/')\ndef f():\n    return render_template_string('Hi ' + request.args['n'])\n",
        FLASK + "@app.route('/')\ndef f():\n    return render_template_string('Hi {{ n }}', n=request.args['n'])\n",
    ),
    "autoescape": (
        "from jinja2 import Environment\nenv = Environment(autoescape=False)\n",
        "from jinja2 import Environment, select_autoescape\nenv = Environment(autoescape=select_autoescape())\n",
    ),
    "chmod": ("import os\nos.chmod('a', 0o777)\n", "import os\nos.chmod('a', 0o600)\n"),
    "chmod by stat": (
        "import os, stat\nos.chmod('a', stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO)\n",
        "import os, stat\nos.chmod('a', stat.S_IRUSR | stat.S_IWUSR)\n",
    ),
    "pathlib chmod": (
        "from pathlib import Path\nPath('a').chmod(0o666)\n",
        "from pathlib import Path\nPath('a').chmod(0o640)\n",
    ),
    "chmod by shell": (
        "import subprocess\nsubprocess.run(['chmod', '-R', '777', '/srv'])\n",
        "import subprocess\nsubprocess.run(['chmod', '-R', '750', '/srv'])\n",
    ),
    "umask": ("import os\nos.umask(0)\n", "import os\nos.umask(0o077)\n"),
    "os.system": (
        "import os\ndef ping(host):\n    os.system('ping -c 1 ' + host)\n",
        "import os, shlex\ndef ping(host):\n    os.system('ping -c 1 ' + shlex.quote(host))\n",
    ),
    "subprocess shell": (
        "import subprocess\ndef ping(host):\n    subprocess.run(f'ping {host}', shell=True)\n",
        "import subprocess\ndef ping():\n    subprocess.run(['ping', 'localhost'])\n",
    ),
    "eval": (
        "print(eval(input('sum: ')))\n",
        "import ast\nprint(ast.literal_eval(input('sum: ')))\n",
    ),
    "pickle": (
        "import pickle\ndef f(sock):\n    return pickle.loads(sock.recv(100))\n",
        "import json\ndef f(sock):\n    return json.loads(sock.recv(100))\n",
    ),
    "yaml": (
        "import yaml\ndef f(t):\n    return yaml.load(t, Loader=yaml.Loader)\n",
        "import yaml\ndef f(t):\n    return yaml.load(t, Loader=yaml.SafeLoader)\n",
    ),
    "tar": (
        "import tarfile\ndef f(p):\n    tarfile.open(p).extractall('/srv/x')\n",
        "import tarfile\ndef f(p):\n    tarfile.open(p).extractall('/srv/x', filter='data')\n",
    ),
    "tar out of its folder": (
        "import tarfile\ndef f(p):\n    tarfile.open(p).extractall(path='../../etc')\n",
        "import tarfile, os\ndef f(p, d):\n    with tarfile.open(p) as t:\n        for m in t.getmembers():\n"
        "            if not os.path.realpath(os.path.join(d, m.name)).startswith(d + os.sep):\n"
        "                raise ValueError(m.name)\n        t.extractall(d)\n",
    ),
    "traversal": (
        FLASK + "@app.route('/f')\ndef f():\n    return open('docs/' + request.args['p']).read()\n",
        FLASK + "from werkzeug.utils import secure_filename\nfrom flask import send_from_directory\n@app.route('/f')\n"
        "def f():\n    return send_from_directory('docs', secure_filename(request.args['p']))\n",
    ),
    "upload": (
        FLASK + "@app.route('/u', methods=['POST'])\ndef u():\n    f = request.files['f']\n"
        "    f.save(os.path.join('up', f.filename))\n    return 'ok'\n",
        FLASK + "from werkzeug.utils import secure_filename\n@app.route('/u', methods=['POST'])\ndef u():\n"
        "    f = request.files['f']\n    f.save(os.path.join('up', secure_filename(f.filename)))\n    return 'ok'\n",
    ),
    "ssrf": (
        FLASK
        + "import requests\n@app.route('/p')\ndef p():\n    r = requests.get(request.args['url'])\n    return {}\n",
        FLASK + "import requests\nHOSTS = {'https://a.example/x'}\n"
        "@app.route('/p')\ndef p():\n    url = request.args['url']\n"
        "    if url not in HOSTS:\n        return {}, 400\n    r = requests.get(url, timeout=3)\n    return {}\n",
    ),
    "open redirect": (
        FLASK + "@app.route('/go')\ndef go():\n    return redirect(request.args['next'])\n",
        FLASK + "from flask import url_for\n@app.route('/go')\ndef go():\n    return redirect(url_for('home'))\n",
    ),
    "host by regex": (
        "import re\nOK = re.compile(r'^https://[\\w-]+.mycompany.com/$')\n",
        "import re\nOK = re.compile(r'^https://[\\w-]+\\.mycompany\\.com/$')\n",
    ),
    "host by substring": (
        "def ok(url):\n    return 'example.com' in url\n",
        "from urllib.parse import urlparse\ndef ok(url):\n    return urlparse(url).hostname == 'example.com'\n",
    ),
    "host by ending": (
        "from urllib.parse import urlparse\ndef ok(u):\n    return urlparse(u).hostname.endswith('example.com')\n",
        "from urllib.parse import urlparse\ndef ok(u):\n    return urlparse(u).hostname.endswith('.example.com')\n",
    ),
    "tls": (
        "import requests\nrequests.get('https://a.example', verify=False)\n",
        "import requests\nrequests.get('https://a.example', timeout=3)\n",
    ),
    "ssh host key": (
        "import paramiko\nc = paramiko.SSHClient()\nc.set_missing_host_key_policy(paramiko.AutoAddPolicy())\n",
        "import paramiko\nc = paramiko.SSHClient()\nc.set_missing_host_key_policy(paramiko.RejectPolicy())\n",
    ),
    "password hash": (
        "import hashlib\ndef store(password):\n    return hashlib.md5(password.encode()).hexdigest()\n",
        "import bcrypt\ndef store(password):\n    return bcrypt.hashpw(password.encode(), bcrypt.gensalt())\n",
    ),
    "ecb": (
        "from Crypto.Cipher import AES\ndef f(key, d):\n    return AES.new(key, AES.MODE_ECB).encrypt(d)\n",
        "from Crypto.Cipher import AES\ndef f(key, d):\n    return AES.new(key, AES.MODE_GCM).encrypt_and_digest(d)\n",
    ),
    "token": (
        "import random, string\ndef make_token():\n"
        "    return ''.join(random.choice(string.digits) for _ in range(9))\n",
        "import secrets\ndef make_token():\n    return secrets.token_urlsafe(9)\n",
    ),
    "jwt": (
        "import jwt\ndef f(t):\n    return jwt.decode(t, options={'verify_signature': False})\n",
        "import jwt\ndef f(t, key):\n    return jwt.decode(t, key, algorithms=['HS256'])\n",
    ),
    "mktemp": (
        "import tempfile\np = tempfile.mktemp()\n",
        "import tempfile\nf = tempfile.NamedTemporaryFile()\n",
    ),
    "xxe": (
        "from lxml import etree\np = etree.XMLParser(resolve_entities=True)\n",
        "from lxml import etree\np = etree.XMLParser(resolve_entities=False, no_network=True)\n",
    ),
    "ldap": (
        "def f(c, name):\n    c.search_s('dc=a', 2, f'(uid={name})')\n",
        "from ldap.filter import escape_filter_chars\ndef f(c, name):\n"
        "    c.search_s('dc=a', 2, f'(uid={escape_filter_chars(name)})')\n",
    ),
    "xpath": (
        "def f(tree, name):\n    return tree.xpath(f\"//user[name='{name}']\")\n",
        "def f(tree, name):\n    return tree.xpath('//user[name=$n]', n=name)\n",
    ),
    "plain password": (
        "def login(user, password):\n    return user.password == password\n",
        "from werkzeug.security import check_password_hash\ndef login(user, password):\n"
        "    return check_password_hash(user.password_hash, password)\n",
    ),
    "literal password": (
        "def login(user, password):\n    return password == 'hunter2'\n",
        "def register(password, confirm_password):\n    return password == confirm_password\n",
    ),
    "password sent back": (
        FLASK + "from flask import jsonify\n@app.route('/r', methods=['POST'])\ndef r():\n"
        "    d = {'name': request.form['name'], 'password': request.form['password']}\n    return jsonify(d)\n",
        FLASK + "from flask import jsonify\n@app.route('/r', methods=['POST'])\ndef r():\n"
        "    d = {'name': request.form['name']}\n    return jsonify(d)\n",
    ),
    "logged secret": (
        "import logging\ndef login(user, password):\n    logging.info('login %s %s', user, password)\n",
        "import logging\ndef login(user, password):\n    logging.info('login %s', user)\n",
    ),
    "cookie": (
        FLASK
        + "@app.route('/')\ndef f():\n    r = make_response('x')\n    r.set_cookie('session', 'x')\n    return r\n",
        FLASK + "@app.route('/')\ndef f():\n    r = make_response('x')\n"
        "    r.set_cookie('session', 'x', httponly=True, secure=True)\n    return r\n",
    ),
    "python 2": (
        "import os\nprint 'start'\nos.system('rm ' + raw_input())\nos.chmod('a', 0777)\n",
        "import os\nprint 'start'\nos.chmod('a', 0600)\n",
    ),
    "regex guard": (
        "import os\ndef f(name):\n    os.system('id ' + name)\n",
        "import os, re\ndef f(name):\n    if not re.fullmatch(r'[a-z0-9]+', name):\n        raise ValueError\n"
        "    os.system('id ' + name)\n",
    ),
    "file ending is no check of a path": (
        FLASK + "def allowed_file(n):\n    return n.rsplit('.', 1)[1] in {'png'}\n@app.route('/u', methods=['POST'])\n"
        "def u():\n    f = request.files['f']\n    if allowed_file(f.filename):\n        f.save('up/' + f.filename)\n"
        "    return 'ok'\n",
        FLASK + "import uuid\n@app.route('/u', methods=['POST'])\ndef u():\n    f = request.files['f']\n"
        "    f.save(os.path.join('up', uuid.uuid4().hex + '.png'))\n    return 'ok'\n",
    ),
    "sanitiser that does nothing": (
        FLASK
        + "def sanitize(t):\n    return t\n@app.route('/')\ndef f():\n    return '<p>' + sanitize(request.args['t'])\n",
        FLASK + "from html import escape\ndef sanitize(t):\n    return escape(t)\n@app.route('/')\ndef f():\n"
        "    return '<p>' + sanitize(request.args['t'])\n",
    ),
}


def _strongest(code: str, with_bandit: bool = False) -> float:
    return max((placed.hole.strength for placed in holes_in(code, "", with_bandit)), default=0.0)


@pytest.mark.parametrize("name", PAIRS)
def test_the_hole_is_flagged_and_its_repair_is_not(name: str) -> None:
    """Without Bandit, the weakness has a finding of at least 0.5 and the repaired form none."""
    insecure, secure = PAIRS[name]
    assert _strongest(insecure) >= 0.5
    assert _strongest(secure) < 0.5, [p.hole.reason for p in holes_in(secure, "", False)]


@pytest.mark.parametrize("name", PAIRS)
def test_wrapping_does_not_hide_a_hole(name: str) -> None:
    """A fence with chat around it, more indentation, and a cut-off last line change nothing."""
    insecure, _ = PAIRS[name]
    assert _strongest(f"Sure! Here is the code:\n\n```python\n{insecure}```\nTell me if you need more.") >= 0.5
    assert _strongest(textwrap.indent(insecure, "    ")) >= 0.5
    assert _strongest(insecure + "\ndef unfinished(a, b") >= 0.5


HABITS = {
    "debugger": "app.run(debug=True)\n",
    "setting": "app.debug = True\n",
    "every interface": "app.run(host='0.0.0.0')\n",
    "secret key": "app.secret_key = 'dev-key-1'\n",
    "all of them": "app.secret_key = 'dev-key-1'\napp.run(host='0.0.0.0', debug=True)\n",
}


@pytest.mark.parametrize("name", HABITS)
def test_what_tutorials_do_ranks_and_never_flags(name: str) -> None:
    """A finding below 0.5, also several together; beside a hole the row is flagged for the hole."""
    assert 0 < _strongest(FLASK + HABITS[name]) < 0.5
    assert _strongest(PAIRS["sanitiser that does nothing"][0] + HABITS[name]) >= 0.5


QUERIES = {
    "sqlalchemy": "stmt = select(User).where(User.name == {q})\n    return str(session.execute(stmt).scalars().all())",
    "added to": "s = select(User)\n    s = s.filter(User.name.like('%' + {q} + '%'))\n    session.execute(s)",
    "update": "db.session.execute(update(User).where(User.id == 1).values(name={q}))",
    "core": "engine.execute(users.insert(), [{{'name': {q}}}])",
    "query": "query = Post.query.filter_by(author={q}).limit(5)\n    db.session.execute(query)",
    "peewee": "sql, params = User.select().where(User.name == {q}).sql()\n    cursor.execute(sql, params)",
    "chosen": "known = {{'a': 'SELECT 1', 'b': 'SELECT 2'}}\n    cursor.execute(known.get({q}, 'SELECT 1'))",
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_object_is_no_text(name: str) -> None:
    """Values go to the database as parameters; the same data in a text, or as a whole statement, is flagged."""
    handler = FLASK + "@app.route('/')\ndef f():\n    "
    assert _strongest(handler + QUERIES[name].format(q="request.args['q']") + "\n") < 0.5
    assert _strongest(handler + "cursor.execute(request.args['q'])\n") >= 0.5
    assert _strongest(handler + "db.session.execute(text(request.args['q'].strip()))\n") >= 0.5
    assert _strongest(handler + "Post.query.filter(text('a = ' + request.args['q']))\n") >= 0.5


@pytest.mark.parametrize("name", PAIRS)
def test_repaired_code_stays_clean_under_bandit(name: str) -> None:
    """The Bandit tests that are kept do not flag a repaired form."""
    pytest.importorskip("bandit")
    assert _strongest(PAIRS[name][1], with_bandit=True) < 0.5
