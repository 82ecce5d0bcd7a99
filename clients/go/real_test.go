package managedagents_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	managedagents "github.com/managedagents/managedagents/clients/go"
	"github.com/managedagents/managedagents/clients/go/internal/server"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// No wait is longer than this; what is waited for comes sooner, unless a promise is broken.
const timeLimit = 30 * time.Second

var (
	sharedFolder string
	sharedServer *server.Server
)

// shared is the server of the tests that do not stop theirs; the first that asks starts it.
var shared = sync.OnceValues(func() (_ *server.Server, err error) {
	sharedServer, err = server.Start(filepath.Join(sharedFolder, "log.db"))
	return sharedServer, err
})

func TestMain(m *testing.M) {
	sharedFolder = managedagents.Must(os.MkdirTemp("", "managedagents"))
	code := m.Run()
	if sharedServer != nil {
		_ = sharedServer.Kill()
	}
	_ = os.RemoveAll(sharedFolder)
	os.Exit(code)
}

// realClient is a client of the shared server.
func realClient(t *testing.T, options ...managedagents.Option) *managedagents.Client {
	t.Helper()
	started, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return connect(t, started.Address, options...)
}

// own is a server of the test's own.
func own(t *testing.T, flags ...string) *server.Server {
	t.Helper()
	started, err := server.Start(filepath.Join(t.TempDir(), "log.db"), flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.Kill(); err != nil {
			t.Error(err)
		}
	})
	return started
}

func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("a long one")
	}
}

// definition is an agent as JSON.
func definition(t *testing.T, text string) *v1.AgentDefinition {
	t.Helper()
	definition := &v1.AgentDefinition{}
	if err := protojson.Unmarshal([]byte(text), definition); err != nil {
		t.Fatal(err)
	}
	return definition
}

// session is a new session of a new agent.
func session(t *testing.T, client *managedagents.Client, agent string) string {
	t.Helper()
	created, err := client.Create(t.Context(), &v1.CreateRequest{Definition: definition(t, agent)})
	if err != nil {
		t.Fatal(err)
	}
	started, err := client.StartSession(t.Context(), &v1.StartSessionRequest{AgentId: created.AgentId})
	if err != nil {
		t.Fatal(err)
	}
	return started.SessionId
}

func userSays(t *testing.T, client *managedagents.Client, sessionID, words string) uint64 {
	t.Helper()
	request := &v1.SendEventRequest{SessionId: sessionID, Event: managedagents.UserMessage(words)}
	response, err := client.SendEvent(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return response.Seq
}

// until follows a session up to the first event of the kind.
func until(t *testing.T, client *managedagents.Client, sessionID, kind string) (events []*v1.SessionEvent) {
	t.Helper()
	follow := client.Follow(sessionID, 0)
	for event, err := range follow.Events(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, event)
		if managedagents.KindOf(event) == kind {
			return events
		}
	}
	t.Fatalf("the session ended without %s: %s", kind, follow.Ended())
	return nil
}

// comes waits for what a channel gives.
func comes[Value any](t *testing.T, what <-chan Value) Value {
	t.Helper()
	select {
	case value := <-what:
		return value
	case <-time.After(timeLimit):
		t.Fatal("it did not come in time")
		panic("unreachable")
	}
}

type outcome[Value any] struct {
	value Value
	err   error
}

// beside runs a function beside the test; its outcome comes by the channel.
func beside[Value any](function func() (Value, error)) <-chan outcome[Value] {
	done := make(chan outcome[Value], 1)
	go func() {
		value, err := function()
		done <- outcome[Value]{value, err}
	}()
	return done
}

func equal[Value comparable](t *testing.T, is, wanted Value) {
	t.Helper()
	if is != wanted {
		t.Fatalf("is %v, should be %v", is, wanted)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
