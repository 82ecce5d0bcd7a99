package managedagents_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The README's code is run as it stands.

var printed = []string{
	"end_turn It is 19 degrees in Oslo.\n",
	"1 user.message\n2 status.running\n3 agent.message\n4 status.idle\n",
	"SESSION_NOT_FOUND\n",
}

func examples(t *testing.T) (examples []string) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	ok(t, err)
	for _, block := range regexp.MustCompile("(?ms)^```go\n(.*?)^```$").FindAllSubmatch(text, -1) {
		examples = append(examples, string(block[1]))
	}
	equal(t, len(examples), len(printed))
	return examples
}

func TestTheFirstExampleIsShort(t *testing.T) {
	lines := 0
	for line := range strings.Lines(examples(t)[0]) {
		if strings.TrimSpace(line) != "" {
			lines++
		}
	}
	equal(t, lines < 25, true)
}

func TestTheExamplesAreFormatted(t *testing.T) {
	for _, example := range examples(t) {
		format := exec.Command("gofmt")
		format.Stdin = strings.NewReader(example)
		formatted, err := format.Output()
		ok(t, err)
		equal(t, string(formatted), example)
	}
}

func TestAnExamplePrintsWhatItSays(t *testing.T) {
	long(t)
	server, err := shared()
	ok(t, err)
	for number, example := range examples(t) {
		file := filepath.Join(t.TempDir(), "main.go")
		code := strings.ReplaceAll(example, "127.0.0.1:50051", server.Address)
		ok(t, os.WriteFile(file, []byte(code), 0o600))
		run := exec.Command("go", "run", file)
		run.Stderr = os.Stderr
		out, err := run.Output()
		ok(t, err)
		if !strings.HasSuffix(string(out), printed[number]) {
			t.Errorf("%q should end with %q", out, printed[number])
		}
	}
}
