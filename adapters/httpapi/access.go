package httpapi

import (
	"errors"
	"net/http"

	"github.com/filature/filature/domain"
)

var errNotYours = errors.New("this key may not ask for this")

// mayFollow keeps a client to its own completions: what it asks for of others is not there.
func (cfg Config) mayFollow(r *http.Request, asked *filter) (status int, err error) {
	if cfg.Sees == nil {
		return 0, nil
	}
	client, everything, err := cfg.Sees(r.Header)
	switch {
	case err != nil:
		return http.StatusUnauthorized, err
	case everything:
		return 0, nil
	case client == (domain.ClientID{}), asked.Client != (domain.ClientID{}) && asked.Client != client:
		return http.StatusForbidden, errNotYours
	default:
		asked.Client = client
		return 0, nil
	}
}
