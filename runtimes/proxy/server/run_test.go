package server

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestRunBeforeInitIs500(t *testing.T) {
	start(t, nil).expect("/run", `{}`, 500, "no action defined yet")
}

func TestOnlyPost(t *testing.T) {
	b := start(t, nil)
	for _, path := range []string{"/init", "/run"} {
		if status, _ := b.get(path); status != 405 {
			t.Fatalf("GET %s: %d", path, status)
		}
	}
}

func TestNewlinesAreRemovedAndTheLineIsPassedAsItIs(t *testing.T) {
	b := start(t, nil)
	b.init(echo)
	if status, text := b.post("/run", "{\n \"a\": [1,\n2]}\n"); status != 200 || text != "{ \"a\": [1,2]}\n" {
		t.Fatalf("%d %q", status, text)
	}
}

func TestSentinelsEndEachRequestOnBothStreams(t *testing.T) {
	b := start(t, nil)
	b.init("#!/bin/sh\nwhile read -r l; do echo out; echo err >&2; echo \"$l\" >&3; done")
	for range 3 {
		b.expect("/run", `{}`, 200, `{}`)
	}
	for stream, want := range map[*os.File]string{b.stdout: "out\n", b.stderr: "err\n"} {
		if got := b.log(stream); got != strings.Repeat(want+Sentinel, 3) {
			t.Fatalf("log: %q", got)
		}
	}
}

func TestReplyMustBeDictionaryOrArray(t *testing.T) {
	b := start(t, nil)
	b.init(`#!/bin/sh
while read -r line; do read -r reply <"$(dirname "$0")/../../../reply"; echo "$reply" >&3; done`)
	folder := strings.TrimSuffix(b.stdout.Name(), "stdout")
	for reply, status := range map[string]int{
		`{"a": 1}`: 200, `[1, 2]`: 200, `{}`: 200,
		`5`: 502, `"text"`: 502, `null`: 502, `true`: 502, ``: 502, `{"a": NaN}`: 502, `{"a"`: 502, `hello`: 502,
	} {
		if err := os.WriteFile(folder+"reply", []byte(reply+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, text := b.post("/run", `{}`)
		if got != status || (status == 502 && !strings.Contains(text, "The action did not return a dictionary or array.")) {
			t.Errorf("reply %q: %d %s", reply, got, text)
		}
	}
}

func TestTwoMegabytesPassBothWays(t *testing.T) {
	b := start(t, nil)
	b.init("#!/bin/sh\nexec cat >&3\n")
	body := fmt.Sprintf(`{"value":%q}`, strings.Repeat("x", 2<<20))
	if status, text := b.post("/run", body); status != 200 || text != body+"\n" {
		t.Fatalf("%d, %d bytes", status, len(text))
	}
}

func TestDeathDuringARequest(t *testing.T) {
	for name, code := range map[string]string{
		"exit":          "read -r l; exit 0",
		"signal":        "read -r l; kill -9 $$",
		"half a line":   "read -r l; printf '{\"a\"' >&3; exit 0",
		"closes 3":      "exec 3>&- ; read -r l; cat",
		"closes 3 late": "read -r l; exec 3>&- ; cat",
		"fork holds 3":  "read -r l; setsid sleep 3 & exit 1",
		"does not read": "exec 0<&- ; exit 0",
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, nil)
			b.init("#!/bin/sh\n" + code + "\n")
			status, text := b.post("/run", `{}`)
			// Dead before the request reached it: 500. Only two of them may be that early.
			early := status == 500 && (name == "closes 3" || name == "does not read")
			if (status != 400 && !early) || !strings.Contains(text, "command exited") {
				t.Fatalf("%d %s", status, text)
			}
			b.expect("/run", `{}`, 500, "command exited")
			if status == 400 && b.log(b.stdout) != Sentinel {
				t.Fatalf("log: %q", b.log(b.stdout))
			}
		})
	}
}

func TestReplyOfALauncherThatEndsWithItCounts(t *testing.T) {
	b := start(t, nil)
	b.init("#!/bin/sh\nread -r l; echo '{\"last\":1}' >&3; exit 0")
	b.expect("/run", `{}`, 200, `{"last":1}`)
	b.expectGone()
}

func TestDeathBetweenRequests(t *testing.T) {
	b := start(t, nil)
	b.init("#!/bin/sh\nread -r l; echo \"{\\\"pid\\\":$$}\" >&3; read -r l; echo never >&3")
	_, text := b.post("/run", `{}`)
	var reply struct{ Pid int }
	if err := json.Unmarshal([]byte(text), &reply); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(reply.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	b.expectGone()
}

// expectGone: a launcher that is just ending may still be given one request (400).
func (b *bench) expectGone() {
	b.t.Helper()
	status, text := b.post("/run", `{}`)
	if (status != 500 && status != 400) || !strings.Contains(text, "command exited") {
		b.t.Fatalf("%d %s", status, text)
	}
	b.expect("/run", `{}`, 500, "command exited")
}

func TestAnExtraLineIsNeverTheNextReply(t *testing.T) {
	b := start(t, nil)
	b.init("#!/bin/sh\nwhile read -r l; do printf '%s\\n{\"stale\":1}\\n' \"$l\" >&3; done")
	b.expect("/run", `{"n":1}`, 200, `{"n":1}`)
	b.expect("/run", `{"n":2}`, 500, "command exited")
}

func TestALauncherThatPrintsAndForksGoesOn(t *testing.T) {
	b := start(t, nil)
	b.init("#!/bin/sh\nwhile read -r l; do (sleep 0 &) ; echo '{\"not\":\"the reply\"}'; echo \"$l\" >&3; done")
	for n := range 5 {
		body := fmt.Sprintf(`{"n":%d}`, n)
		b.expect("/run", body, 200, body)
	}
}

func TestRequestsAreServedOneAtATimeAndNeverMix(t *testing.T) {
	b := start(t, nil)
	b.init("#!/bin/sh\nwhile read -r l; do echo \"begin $l\"; echo \"$l\" >&3; done")
	var wait sync.WaitGroup
	for n := range 40 {
		wait.Add(1)
		go func() {
			defer wait.Done()
			body := fmt.Sprintf(`{"n":%d}`, n)
			if status, text := send(t, b.url+"/run", body); status != 200 || text != body+"\n" {
				t.Errorf("request %d: %d %s", n, status, text)
			}
		}()
	}
	wait.Wait()
	lines := strings.Split(strings.TrimSpace(b.log(b.stdout)), "\n")
	if len(lines) != 80 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, line := range lines { // each request's output ends before the next one's begins
		if strings.HasPrefix(line, "begin") != (i%2 == 0) {
			t.Fatalf("line %d is %q", i, line)
		}
	}
}
