package server

import (
	"encoding/json"
	"sort"
	"strings"
)

// readyVariable asks for the ready protocol; its value names the launcher's descriptor.
const readyVariable = "__OW_READY_FD"

const ownPrefix = "__OW_"

func lookup(environ []string, name string) string {
	for _, entry := range environ {
		if value, found := strings.CutPrefix(entry, name+"="); found {
			return value
		}
	}
	return ""
}

func wantsAck(environ []string) bool {
	return lookup(environ, "OW_WAIT_FOR_ACK") != "" || lookup(environ, "__OW_WAIT_FOR_ACK") != ""
}

func wantsReady(environ []string) bool { return lookup(environ, readyVariable) == "4" }

// launcherEnv is the launcher's whole environment: the container's __OW_ variables
// and what the init request brought, strings as they are, other values as JSON.
func launcherEnv(environ []string, brought map[string]json.RawMessage) []string {
	values := map[string]string{"__OW_PROXY_VERSION": Version}
	if kind := lookup(environ, "OW_EXECUTION_ENV"); kind != "" {
		values["__OW_EXECUTION_ENV"] = kind
	}
	if wantsAck(environ) {
		values["__OW_WAIT_FOR_ACK"] = "1"
	}
	for _, entry := range environ {
		if name, value, _ := strings.Cut(entry, "="); strings.HasPrefix(name, ownPrefix) {
			values[name] = value
		}
	}
	for name, raw := range brought {
		var text string
		if json.Unmarshal(raw, &text) != nil || string(raw) == "null" {
			text = string(raw)
		}
		values[name] = text
	}
	list := make([]string, 0, len(values))
	for name, value := range values {
		if name != "" && !strings.ContainsAny(name, "=\x00") && !strings.Contains(value, "\x00") {
			list = append(list, name+"="+value)
		}
	}
	sort.Strings(list)
	return list
}
