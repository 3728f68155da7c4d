package main

import (
	"encoding"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"github.com/filature/filature/domain"
)

// Values that a config holds besides plain text, numbers and truth.
type (
	// filePath is a file or folder.
	filePath string

	// secret is shown to nobody: what prints a config, or logs it, prints masked. (Not go-toml's encoder, which takes
	// texts as they are.)
	secret string

	// secretURL is shown without its password.
	secretURL string

	// duration is written as "90s" or "1h30m". What is none is kept, so that check can name it together
	// with all else that is wrong.
	duration struct {
		time.Duration
		malformed string
	}

	// coins is an amount as people write it: "1.5". What is none is kept, as above.
	coins struct {
		domain.Nano
		malformed string
	}
)

var (
	_ encoding.TextMarshaler   = secret("") // a logger in JSON asks it
	_ encoding.TextMarshaler   = secretURL("")
	_ encoding.TextUnmarshaler = (*duration)(nil)
	_ encoding.TextUnmarshaler = (*coins)(nil)
)

const masked = "xxxxx"

func (s secret) String() string {
	if s == "" {
		return ""
	}
	return masked
}

// GoString implements fmt.GoStringer, for %#v.
func (s secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler.
func (s secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// passwordParameters are where libpq takes passwords from besides the place before the host.
var passwordParameters = []string{"password", "sslpassword"}

func (s secretURL) String() string {
	if s == "" {
		return ""
	}
	u, err := url.Parse(string(s))
	if err != nil || u.Scheme == "" {
		return masked // a password could stand anywhere in it
	}
	query := u.Query()
	for _, parameter := range passwordParameters {
		if query.Has(parameter) {
			query.Set(parameter, masked)
			u.RawQuery = query.Encode()
		}
	}
	return u.Redacted()
}

// GoString implements fmt.GoStringer, for %#v.
func (s secretURL) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler.
func (s secretURL) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration{Duration: parsed}
	if err != nil {
		d.malformed = string(text)
	}
	return nil
}

// String writes 1h, where time.Duration writes 1h0m0s.
func (d duration) String() string {
	s := d.Duration.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *coins) UnmarshalText(text []byte) error {
	parsed, err := domain.ParseCoins(string(text))
	*c = coins{Nano: parsed}
	if err != nil {
		c.malformed = string(text)
	}
	return nil
}

// String writes 1.5, where domain.Nano writes 1.500000000.
func (c coins) String() string {
	return strings.TrimSuffix(strings.TrimRight(c.Nano.String(), "0"), ".")
}

// configKey is one key of a config: its path in the file, and a pointer to its value.
type configKey struct {
	path  string
	field any
}

// keys lists all keys but those of webhooks, of which there may be many, in the order of the struct.
func (c *config) keys() []configKey { return keysIn("", reflect.ValueOf(c).Elem()) }

// webhookKeys are the keys of a webhook.
func webhookKeys(w *webhookConfig) []configKey { return keysIn("webhooks.", reflect.ValueOf(w).Elem()) }

func keysIn(prefix string, table reflect.Value) []configKey {
	var all []configKey
	for i := range table.NumField() {
		name := table.Type().Field(i).Tag.Get("toml")
		field := table.Field(i)
		switch {
		case name == "" || field.Type() == reflect.TypeFor[[]webhookConfig]():
		case isTable(field.Type()):
			all = append(all, keysIn(prefix+name+".", field)...)
		default:
			all = append(all, configKey{prefix + name, field.Addr().Interface()})
		}
	}
	return all
}

func isTable(t reflect.Type) bool {
	return t.Kind() == reflect.Struct && t != reflect.TypeFor[duration]() && t != reflect.TypeFor[coins]()
}

// blank tells whether the key was left out, or set to nothing.
func (k configKey) blank() bool { return reflect.ValueOf(k.field).Elem().IsZero() }

// kind is what a value of the key is, in words.
func (k configKey) kind() string {
	switch k.field.(type) {
	case *bool:
		return "true or false"
	case *int:
		return "a whole number"
	case *[]string:
		return "a list of texts"
	case *duration:
		return `a duration in quotes, such as "90s" or "1h30m"`
	case *coins:
		return `coins in quotes, such as "1.5"`
	default:
		return "text in quotes"
	}
}

// set gives the key the value that a text stands for.
func (k configKey) set(text string) error {
	var err error
	switch field := k.field.(type) {
	case *bool:
		var value bool
		if value, err = strconv.ParseBool(text); err == nil {
			*field = value
		}
	case *int:
		var value int
		if value, err = strconv.Atoi(text); err == nil {
			*field = value
		}
	case *[]string:
		*field = nil
		for element := range strings.SplitSeq(text, ",") {
			*field = append(*field, strings.TrimSpace(element))
		}
	case *duration:
		err = field.UnmarshalText([]byte(text))
	case *coins:
		err = field.UnmarshalText([]byte(text))
	default:
		reflect.ValueOf(field).Elem().SetString(text)
	}
	if err != nil {
		return fmt.Errorf("%s = %q (%s): want %s", k.path, text, variableOf(k.path), k.kind())
	}
	return nil
}

const variablePrefix = "FILATURE_"

// variableOf is the environment variable that takes the place of a key: FILATURE_KAFKA_TLS_CA_FILE of
// kafka.tls.ca_file.
func variableOf(path string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// otherVariables begin as ours and are somebody else's: of our tests, and what Kubernetes tells each container about
// services, whatever their names are.
var otherVariables = regexp.MustCompile(`^FILATURE_(KAFKA|POSTGRES|TRACE|TEST_.*|LOCALCHAIN_.*|` +
	`(.*_)?(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT(_\d.*)?))$`)

// alternatives are pairs of keys of which one says it and the other names the file that does.
var alternatives = [][2]string{
	{"kafka.login.password", "kafka.login.password_file"},
	{"postgres.url", "postgres.url_file"},
}

// override lets variables take the place of keys. One that is empty counts as not set, since that is how
// container tools pass what nobody gave.
func (c *config) override(env []string) error {
	var errs []error
	byVariable := map[string]configKey{}
	for _, k := range c.keys() {
		byVariable[variableOf(k.path)] = k
	}
	c.overridden = map[string]string{}
	for _, assignment := range slices.Sorted(slices.Values(env)) {
		variable, value, _ := strings.Cut(assignment, "=")
		if value == "" || !strings.HasPrefix(variable, variablePrefix) {
			continue
		}
		k, known := byVariable[variable]
		switch {
		case known:
			c.overridden[k.path] = variable
			errs = append(errs, k.set(value))
		case !otherVariables.MatchString(variable):
			errs = append(errs, fmt.Errorf("%s: no key has this variable; the nearest is %s", variable, nearest(variable, byVariable)))
		}
	}
	// A variable also takes the place of its alternative in the file.
	for _, pair := range alternatives {
		for i, path := range pair {
			other := pair[1-i]
			if c.overridden[path] != "" && c.overridden[other] == "" {
				reflect.ValueOf(byVariable[variableOf(other)].field).Elem().SetZero()
			}
		}
	}
	return errors.Join(errs...)
}

// unknownKey explains a key that no config has.
func unknownKey(e *toml.DecodeError) error {
	line, _ := e.Position()
	known := map[string]configKey{}
	for _, k := range append((&config{}).keys(), webhookKeys(&webhookConfig{})...) {
		known[k.path] = k
		// A table that is not there is told by the nearest table.
		for i, r := range k.path {
			if r == '.' {
				known[k.path[:i]] = k
			}
		}
	}
	path := strings.Join(e.Key(), ".")
	return fmt.Errorf("line %d: %s: there is no such key; the nearest is %s", line, path, nearest(path, known))
}

// wrongValue explains what TOML's reader could not read.
func wrongValue(e *toml.DecodeError) error {
	line, _ := e.Position()
	path := strings.Join(e.Key(), ".")
	for _, k := range append((&config{}).keys(), webhookKeys(&webhookConfig{})...) {
		if k.path == path && strings.Contains(e.Error(), "cannot ") { // decode one type into another
			return fmt.Errorf("line %d: %s: want %s", line, path, k.kind())
		}
	}
	return fmt.Errorf("line %d: %w", line, e)
}

// nearest is the name that needs the fewest edits to become the one that is known.
func nearest[V any](name string, known map[string]V) string {
	best, fewest := "", 0
	for candidate := range known {
		n := edits(name, candidate)
		if best == "" || n < fewest || n == fewest && candidate < best {
			best, fewest = candidate, n
		}
	}
	return best
}

// edits is the Levenshtein distance: how many bytes to put in, take out or change.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
