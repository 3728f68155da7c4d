package httpapi

import "net/http"

// mayFollow keeps a client or a provider to its own completions.
func (cfg Config) mayFollow(r *http.Request, asked *filter) (status int, err error) {
	if cfg.Sees == nil {
		return 0, nil
	}
	own, everything, err := cfg.Sees(r.Header)
	switch {
	case err != nil:
		return http.StatusUnauthorized, err
	case everything:
		return 0, nil
	}
	if err := asked.Within(own); err != nil {
		return http.StatusForbidden, err
	}
	return 0, nil
}
