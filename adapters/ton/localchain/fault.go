package localchain

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/xssnick/tonutils-go/tl"
)

// Fault answers one query in a lite-server's place: by itself, or by asking on, as often as it likes. It is called by
// many goroutines at once.
type Fault func(ctx context.Context, query any, next func(ctx context.Context, query any) tl.Serializable) tl.Serializable

// Serve starts one more lite-server of the chain, with faults on it, to see what those do who ask it. It returns a global
// configuration file that leads to it. End it before the chain is closed.
func (c *Chain) Serve(fault Fault) (globalConfigFile string, end func() error, err error) {
	key, err := serverKey("")
	if err != nil {
		return "", nil, err
	}
	s, err := serve("127.0.0.1:0", key, func(ctx context.Context, query any) tl.Serializable {
		return fault(ctx, query, c.Answer)
	})
	if err != nil {
		return "", nil, fmt.Errorf("one more %w", err)
	}
	if err := s.writeGlobalConfig("", c.zero); err != nil {
		return "", nil, errors.Join(err, s.close())
	}
	return s.configFile, s.close, nil
}

// Asked is what a query asks for, without the wait for a block that may stand before it.
func Asked(query any) any {
	if pair, ok := query.([]tl.Serializable); ok && len(pair) > 0 {
		query = pair[len(pair)-1]
	}
	if v := reflect.ValueOf(query); v.Kind() == reflect.Pointer && !v.IsNil() {
		query = v.Elem().Interface()
	}
	return query
}
