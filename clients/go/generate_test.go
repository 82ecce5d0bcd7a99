package managedagents_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestTheStubsAreWhatTheProtosGenerate(t *testing.T) {
	long(t)
	folder := t.TempDir()
	if said, err := exec.Command("./generate", folder).CombinedOutput(); err != nil {
		t.Fatalf("%s: %s", err, said)
	}
	fresh, err := filepath.Glob(filepath.Join(folder, "managedagents/v1/*"))
	ok(t, err)
	committed, err := filepath.Glob("managedagents/v1/*")
	ok(t, err)
	equal(t, len(fresh) > 0, true)
	equal(t, len(fresh), len(committed))
	for _, file := range fresh {
		made, err := os.ReadFile(file)
		ok(t, err)
		stands, err := os.ReadFile(filepath.Join("managedagents/v1", filepath.Base(file)))
		ok(t, err)
		if string(made) != string(stands) {
			t.Errorf("%s is not what is generated", filepath.Base(file))
		}
	}
}
