package managedagents_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	managedagents "github.com/managedagents/managedagents/clients/go"
	v1 "github.com/managedagents/managedagents/clients/go/managedagents/v1"
)

// certificate is one for 127.0.0.1, as files, and who trusts it.
func certificate(t *testing.T) (certFile, keyFile string, trusted *x509.CertPool) {
	t.Helper()
	certified := httptest.NewTLSServer(nil)
	defer certified.Close()
	key, err := x509.MarshalPKCS8PrivateKey(certified.TLS.Certificates[0].PrivateKey)
	ok(t, err)
	write := func(name, kind string, bytes []byte) string {
		file := filepath.Join(t.TempDir(), name)
		ok(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: bytes}), 0o600))
		return file
	}
	trusted = x509.NewCertPool()
	trusted.AddCert(certified.Certificate())
	return write("cert.pem", "CERTIFICATE", certified.Certificate().Raw), write("key.pem", "PRIVATE KEY", key), trusted
}

func TestAServerWithTLSAndTokensAnswersThoseWhomItKnows(t *testing.T) {
	const token = "a-token-that-is-long-enough-to-be-one"
	certFile, keyFile, trusted := certificate(t)
	tokens := filepath.Join(t.TempDir(), "tokens")
	ok(t, os.WriteFile(tokens, []byte(token+"\n"), 0o600))
	server := own(t, "--tls-cert", certFile, "--tls-key", keyFile, "--tokens", tokens)
	withTLS := managedagents.WithTLS(&tls.Config{RootCAs: trusted})
	known := connect(t, server.Address, withTLS, managedagents.WithToken(token))
	_, err := known.ListAgents(t.Context(), &v1.ListAgentsRequest{})
	ok(t, err)
	unknown := connect(t, server.Address, withTLS, managedagents.WithToken("another"))
	_, err = unknown.ListAgents(t.Context(), &v1.ListAgentsRequest{})
	equal(t, errors.Is(err, managedagents.ErrUnauthenticated), true)
	untrusting := connect(t, server.Address, managedagents.WithTLS(&tls.Config{}), managedagents.WithConnectTimeout(0))
	_, err = untrusting.ListAgents(t.Context(), &v1.ListAgentsRequest{})
	equal(t, errors.Is(err, managedagents.ErrNoAnswer), true)
}
