package managedagents_test

import (
	"io"
	"net"
	"sync"
	"testing"
)

// relay stands between a client and a server, so that a test can lose what the server answers.
type relay struct {
	address string

	mutex       sync.Mutex
	swallows    bool
	connections []net.Conn
}

// swallowAnswers lets requests through, and nothing back, until the cut.
func (r *relay) swallowAnswers() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.swallows = true
}

// cut closes all connections; those that follow are whole again.
func (r *relay) cut() {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	for _, connection := range r.connections {
		_ = connection.Close()
	}
	r.connections, r.swallows = nil, false
}

// answersTo passes on the answers that are let through.
type answersTo struct {
	relay  *relay
	client net.Conn
}

func (a answersTo) Write(piece []byte) (int, error) {
	a.relay.mutex.Lock()
	defer a.relay.mutex.Unlock()
	if a.relay.swallows {
		return len(piece), nil
	}
	return a.client.Write(piece)
}

func startRelay(t *testing.T, server string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	ok(t, err)
	r := &relay{address: listener.Addr().String()}
	var copying sync.WaitGroup
	copying.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return // The test is over.
			}
			onward, err := net.Dial("tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			r.mutex.Lock()
			r.connections = append(r.connections, client, onward)
			r.mutex.Unlock()
			// A copy ends when either side is closed, which is what is to happen.
			copying.Go(func() { _, _ = io.Copy(onward, client); _ = onward.Close() })
			copying.Go(func() { _, _ = io.Copy(answersTo{r, client}, onward); _ = client.Close() })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		r.cut()
		copying.Wait()
	})
	return r
}
