package server

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"strings"
	"testing"
)

func zipped(t *testing.T, files map[string]string) string {
	var buffer bytes.Buffer
	archive := zip.NewWriter(&buffer)
	for name, content := range files {
		w, err := archive.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write([]byte(content))
	}
	if err := archive.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.String()
}

func tarred(t *testing.T, name, content string) string {
	var buffer bytes.Buffer
	packed := gzip.NewWriter(&buffer)
	archive := tar.NewWriter(packed)
	if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))}); err != nil {
		t.Fatal(err)
	}
	_, _ = archive.Write([]byte(content))
	if archive.Close() != nil || packed.Close() != nil {
		t.Fatal("cannot pack")
	}
	return buffer.String()
}

func TestSecondInitIsForbidden(t *testing.T) {
	b := start(t, nil)
	b.init(echo)
	b.expect("/init", initBody(echo, false, nil), 403, "Cannot initialize the action more than once.")
}

func TestInitCanBeRepeatedAfterFailure(t *testing.T) {
	b := start(t, nil)
	b.expect("/init", initBody("#!/nonexistent/interpreter\n", false, nil), 502, "cannot start action")
	b.init(echo)
	b.expect("/run", `{"value":{}}`, 200, `{"value":{}}`)
}

func TestUndecodableInitIs400(t *testing.T) {
	b := start(t, nil)
	b.expect("/init", "{", 400, "Error unmarshaling request")
	b.expect("/init", `{"value":{"code":5}}`, 400, "Error unmarshaling request")
	b.expect("/init", `{"value":{"code":"***","binary":true}}`, 400, "cannot decode the request")
}

func TestMissingCodeIs403(t *testing.T) {
	b := start(t, nil)
	for _, body := range []string{`{}`, `{"value":{}}`, `{"value":{"main":"main","code":""}}`} {
		b.expect("/init", body, 403, "Missing main/no code to execute.")
	}
}

func TestCodeAsFileZipAndTar(t *testing.T) {
	for name, code := range map[string]string{
		"file": echo,
		"zip":  zipped(t, map[string]string{"exec": echo, "deep/er/file": "x"}),
		"tar":  tarred(t, "./exec", echo),
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil)
			b.expect("/init", initBody(code, true, nil), 200, `{"ok":true}`)
			b.expect("/run", `{"value":{"a":1}}`, 200, `{"value":{"a":1}}`)
		})
	}
}

func TestBadArchivesAre502WithReason(t *testing.T) {
	for name, c := range map[string]struct{ code, reason string }{
		"broken zip":    {"PK\x03\x04garbage", "cannot read the zip archive"},
		"broken gzip":   {"\x1f\x8bgarbage", "cannot read the gzip archive"},
		"leaves folder": {zipped(t, map[string]string{"../../evil": "x"}), "leaves the action's folder"},
		"tar leaves":    {tarred(t, "/etc/evil", "x"), "leaves the action's folder"},
		"no exec":       {zipped(t, map[string]string{"other": "x"}), "no executable 'exec'"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil)
			b.expect("/init", initBody(c.code, true, nil), 502, c.reason)
		})
	}
}

func TestCompileStep(t *testing.T) {
	compiler := script(t, "#!/bin/sh\n"+
		`echo "main is $1"; { echo '#!/bin/sh'; echo "MAIN=$1 KIND=$__OW_EXECUTION_ENV"; cat "$2/exec"; } >"$3/exec"`)
	b := start(t, func(s *Settings) {
		s.Compiler = compiler
		s.Environ = []string{"OW_EXECUTION_ENV=bench/python"}
	})
	b.init(`while read -r line; do echo "{\"main\":\"$MAIN\",\"kind\":\"$KIND\"}" >&3; done`)
	b.expect("/run", `{}`, 200, `{"main":"main","kind":"bench/python"}`)
	if log := b.log(b.stderr); !strings.Contains(log, "main is main") {
		t.Fatalf("the compile step's output is not in the log: %q", log)
	}
}

func TestFailedCompileStepIs502WithItsOutput(t *testing.T) {
	for name, c := range map[string]struct{ script, reason string }{
		"says why": {"#!/bin/sh\necho 'line 3: bad' >&2; exit 1", "line 3: bad"},
		"silent":   {"#!/bin/sh\nexit 7", "exit status 7"},
		"no exec":  {"#!/bin/sh\ntrue", "no executable 'exec'"},
		"killed":   {"#!/bin/sh\nkill -9 $$", "killed by signal 9"},
		"missing":  {"", "cannot start the compile step"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, func(s *Settings) {
				s.Compiler = "/nonexistent/compiler"
				if c.script != "" {
					s.Compiler = script(t, c.script)
				}
			})
			b.expect("/init", initBody(echo, false, nil), 502, c.reason)
		})
	}
}

func TestAcknowledgement(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		status int
		words  string
	}{
		"given":   {`echo '{"ok": true}' >&3`, 200, `{"ok":true}`},
		"not ok":  {`echo '{"ok": false, "error": "no facility"}' >&3; cat`, 502, "did not initialize properly. no facility"},
		"garbage": {`echo 'hello' >&3; cat`, 502, "acknowledgement is not valid"},
		"missing": {`exit 3`, 502, "Command exited abruptly during initialization"},
		"closed":  {`exec 3>&-; cat`, 502, "Command exited abruptly during initialization"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, withEnv("OW_WAIT_FOR_ACK=1"))
			b.expect("/init", initBody("#!/bin/sh\n"+c.script+"\n"+echo, false, nil), c.status, c.words)
		})
	}
}

func TestInitReasonCanGoToTheLog(t *testing.T) {
	b := start(t, func(s *Settings) { s.ReasonToLog = true; s.Compiler = script(t, "#!/bin/sh\necho why; exit 1") })
	b.expect("/init", initBody(echo, false, nil), 502, "The action failed to generate or locate a binary. See logs for details.")
	if log := b.log(b.stderr); log != "why\n"+Sentinel {
		t.Fatalf("log: %q", log)
	}
	b = start(t, func(s *Settings) { s.ReasonToLog = true })
	b.expect("/init", initBody("#!/nonexistent\n", false, nil), 502, "Cannot start action. Check logs for details.")
}

func TestLauncherEnvironmentIsExactly(t *testing.T) {
	b := start(t, withEnv("PATH=/bin", "SECRET=1", "__OW_API_HOST=h=1", "OW_EXECUTION_ENV=kind", "OW_COMPILER=x"))
	env := map[string]any{"TEXT": "a b", "NUMBER": 3, "OBJECT": map[string]any{"k": []int{1}}, "NOTHING": nil}
	b.expect("/init", initBody(`#!/bin/sh
cat /proc/self/environ | tr '\0' '\n' | grep -v -e '^PWD=' -e '^_=' -e '^SHLVL=' -e '^OLDPWD=' | sort | tr '\n' ';' >&2
`+echo, false, env), 200, "ok")
	b.expect("/run", `{}`, 200, `{}`)
	want := `NOTHING=null;NUMBER=3;OBJECT={"k":[1]};TEXT=a b;__OW_API_HOST=h=1;__OW_EXECUTION_ENV=kind;` +
		`__OW_PROXY_VERSION=` + Version + ";"
	if got := strings.TrimSuffix(b.log(b.stderr), Sentinel); got != want {
		t.Fatalf("environment:\n%s\nwant:\n%s", got, want)
	}
}
