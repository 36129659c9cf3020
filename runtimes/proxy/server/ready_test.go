package server

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rewind-bench/proxy/launcher"
)

// gate makes a FIFO; opening it for writing lets a launcher that reads it go on.
func gate(t *testing.T) (path string, open func()) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "gate")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, func() {
		if err := os.WriteFile(path, nil, 0); err != nil {
			t.Error(err)
		}
	}
}

func TestReadyWithoutTheProtocolAnswersAtOnce(t *testing.T) {
	b := start(t, nil)
	b.init(`#!/bin/sh
[ -e /proc/self/fd/4 ] && exit 1
` + echo)
	b.expect("/run", `{}`, 200, `{}`) // descriptor 4 does not exist
	if status, text := b.get("/ready"); status != 200 || text != "{\"ready\":true,\"busy_ns\":null}\n" {
		t.Fatalf("%d %s", status, text)
	}
}

func TestReadyBlocksUntilTheLauncherIs(t *testing.T) {
	path, open := gate(t)
	b := start(t, withEnv("__OW_READY_FD=4"))
	b.init("#!/bin/sh\nwhile read -r l; do echo \"$l\" >&3; cat " + path + "; echo ready >&4; done")
	b.expect("/run", `{"n":1}`, 200, `{"n":1}`)

	finished := make(chan string, 2)
	go func() {
		_, text := b.get("/ready")
		finished <- text
	}()
	go func() {
		_, text := send(t, b.url+"/run", `{"n":2}`)
		finished <- text
	}()
	select {
	case text := <-finished:
		t.Fatalf("answered before the launcher was ready: %s", text)
	default:
	}
	open()
	// The second request leaves the launcher busy again; readiness told in between or after it.
	first := <-finished
	open()
	second := <-finished
	all := first + second
	if !strings.Contains(all, `{"n":2}`) || !strings.Contains(all, `"ready":true`) {
		t.Fatal(all)
	}
	var readiness struct {
		BusyNs *int64 `json:"busy_ns"`
	}
	_, text := b.get("/ready")
	if err := json.Unmarshal([]byte(text), &readiness); err != nil || readiness.BusyNs == nil || *readiness.BusyNs <= 0 {
		t.Fatal(text)
	}
}

func TestFiguresOfARestoreAreTold(t *testing.T) {
	b := start(t, withEnv("__OW_READY_FD=4"))
	b.init("#!/bin/sh\nwhile read -r l; do echo \"$l\" >&3; echo 'ready {\"rewind_ns\": 7}' >&4; done")
	b.expect("/run", `{}`, 200, `{}`)
	if status, text := b.get("/ready"); status != 200 || !strings.Contains(text, `"restore":{"rewind_ns":7}`) {
		t.Fatalf("%d %s", status, text)
	}
}

func TestARequestIsNotSentBeforeReady(t *testing.T) {
	path, open := gate(t)
	b := start(t, withEnv("__OW_READY_FD=4"))
	// After its reply the launcher looks whether the next request is in the pipe already.
	b.init(`#!/bin/bash
while read -r l; do
	echo "$l" >&3
	cat ` + path + `
	read -t 0 && echo early >&2
	echo ready >&4
done`)
	b.expect("/run", `{}`, 200, `{}`)
	done := make(chan int)
	go func() {
		status, _ := send(t, b.url+"/run", `{}`)
		done <- status
	}()
	open()
	if status := <-done; status != 200 || strings.Contains(b.log(b.stderr), "early") {
		t.Fatalf("%d, log %q", status, b.log(b.stderr))
	}
}

func TestFailureToBecomeReadyIsTold(t *testing.T) {
	for name, c := range map[string]struct{ after, reason string }{
		"dies":     {"exit 4", "exit status 4"},
		"figures":  {"echo 'ready {oops' >&4; cat", "not ready"},
		"says why": {"echo 'rewind: EBUSY' >&4; cat", "rewind: EBUSY"},
		"closes 4": {"exec 4>&-; cat", "before it was ready again"},
	} {
		t.Run(name, func(t *testing.T) {
			b := start(t, withEnv("__OW_READY_FD=4"))
			b.init("#!/bin/sh\nread -r l; echo \"$l\" >&3; " + c.after)
			b.expect("/run", `{"n":1}`, 200, `{"n":1}`)
			b.expect("/run", `{"n":2}`, 500, "command exited")
			if status, text := b.get("/ready"); status != 503 || !strings.Contains(text, c.reason) {
				t.Fatalf("%d %s", status, text)
			}
		})
	}
}

func TestReadyOutOfTurnRetiresTheLauncher(t *testing.T) {
	b := start(t, withEnv("__OW_READY_FD=4"))
	b.init("#!/bin/sh\nwhile read -r l; do echo \"$l\" >&3; printf 'ready\\nready\\n' >&4; done")
	b.expect("/run", `{"n":1}`, 200, `{"n":1}`)
	b.expect("/run", `{"n":2}`, 500, "command exited")
}

// A launcher that says "ready" without having been restored serves nobody any more.
func TestReadyIsNotBelievedWithoutProof(t *testing.T) {
	generations := []uint64{1, 2, 2} // the third request's "ready" is made up
	asked := 0
	b := start(t, func(s *Settings) {
		withEnv("__OW_READY_FD=4")(s)
		s.Generation = func(int) (uint64, error) {
			asked++
			return generations[asked-1], nil
		}
	})
	b.init("#!/bin/sh\nwhile read -r l; do echo \"$l\" >&3; echo ready >&4; done")
	for range 2 {
		b.expect("/run", `{}`, 200, `{}`)
		if status, text := b.get("/ready"); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
	}
	b.expect("/run", `{}`, 200, `{}`)
	if status, text := b.get("/ready"); status != 503 || !strings.Contains(text, "was not restored (generation 2)") {
		t.Fatalf("%d %s", status, text)
	}
	b.expect("/run", `{}`, 500, `{"error":"command exited"}`)
}

func TestReadyIsNotBelievedWhereTheKernelShowsNoCheckpoint(t *testing.T) {
	b := start(t, func(s *Settings) {
		withEnv("__OW_READY_FD=4")(s)
		s.Generation = launcher.KernelGeneration
	})
	b.init("#!/bin/sh\nwhile read -r l; do echo \"$l\" >&3; echo ready >&4; done")
	b.expect("/run", `{}`, 200, `{}`)
	if status, text := b.get("/ready"); status != 503 || !strings.Contains(text, "does not confirm") {
		t.Fatalf("%d %s", status, text)
	}
}
