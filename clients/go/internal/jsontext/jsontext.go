// Package jsontext writes values as JSON the way that every client of the service does.
package jsontext

import (
	"bytes"
	"encoding/json"
	"strings"
)

// encoding/json escapes these even where it is told to escape nothing for HTML; the last is what stands for bytes that
// are no UTF-8. An escaped backslash stays what it is.
var asTheyAre = strings.NewReplacer(`\\`, `\\`, `\u2028`, "\u2028", `\u2029`, "\u2029", `\ufffd`, "\uFFFD")

// Write gives the value as JSON without spaces, keys of maps sorted, and every character that JSON lets stand as it is.
func Write(value any) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return "", err
	}
	return asTheyAre.Replace(strings.TrimSuffix(text.String(), "\n")), nil
}
