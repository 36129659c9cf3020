package server

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rewind-bench/proxy/reaper"
)

var children = reaper.New() // one for the process

// echo answers each request line with itself.
const echo = `#!/bin/sh
while read -r line; do echo "$line" >&3; done
`

type bench struct {
	t              *testing.T
	url            string
	stdout, stderr *os.File
}

// start serves a proxy with its log in files.
func start(t *testing.T, change func(*Settings)) *bench {
	t.Helper()
	folder := t.TempDir()
	b := &bench{t: t}
	for name, file := range map[string]**os.File{"stdout": &b.stdout, "stderr": &b.stderr} {
		opened, err := os.OpenFile(filepath.Join(folder, name), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		*file = opened
	}
	settings := Settings{Folder: filepath.Join(folder, "action"), Stdout: b.stdout, Stderr: b.stderr}
	if change != nil {
		change(&settings)
	}
	proxy := New(settings, children)
	web := httptest.NewServer(proxy.Handler())
	b.url = web.URL
	t.Cleanup(func() { proxy.Close(); web.CloseClientConnections(); web.Close() })
	return b
}

func (b *bench) post(path, body string) (int, string) {
	b.t.Helper()
	return send(b.t, b.url+path, body)
}

func send(t *testing.T, url, body string) (int, string) {
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return response.StatusCode, string(text)
}

func (b *bench) get(path string) (int, string) {
	b.t.Helper()
	response, err := http.Get(b.url + path)
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

func (b *bench) expect(path, body string, status int, words string) {
	b.t.Helper()
	if got, text := b.post(path, body); got != status || !strings.Contains(text, words) {
		b.t.Fatalf("POST %s: %d %s; want %d with %q", path, got, text, status, words)
	}
}

func (b *bench) init(code string) {
	b.t.Helper()
	b.expect("/init", initBody(code, false, nil), 200, `{"ok":true}`)
}

func (b *bench) log(file *os.File) string {
	b.t.Helper()
	text, err := os.ReadFile(file.Name())
	if err != nil {
		b.t.Fatal(err)
	}
	return string(text)
}

func initBody(code string, binary bool, env map[string]any) string {
	if binary {
		code = base64.StdEncoding.EncodeToString([]byte(code))
	}
	value := map[string]any{"name": "a", "main": "main", "code": code, "binary": binary, "env": env}
	body, _ := json.Marshal(map[string]any{"value": value})
	return string(body)
}

func withEnv(entries ...string) func(*Settings) {
	return func(s *Settings) { s.Environ = entries }
}

func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "compiler")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func count(text, part string) int { return bytes.Count([]byte(text), []byte(part)) }
