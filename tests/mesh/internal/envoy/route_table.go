package envoy

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
)

// A RouteTable holds the routes of a virtual host in order, and matches requests to them as Envoy does. It knows the kinds of matches
// that istiod writes for HTTPRoutes.
type RouteTable []TableRoute

// A TableRoute is a route of a RouteTable.
type TableRoute struct {
	Route
	Clusters []string          // the clusters it sends requests to
	Added    map[string]string // headers that it adds to responses

	match tableMatch
}

// A TableRequest holds the parts of a request that routes match.
type TableRequest struct {
	Method, Path string
	Query        map[string]string
	Headers      map[string]string // in lower case
}

type tableMatch struct {
	Prefix        *string       `json:"prefix"`
	Path          *string       `json:"path"`
	Separated     *string       `json:"path_separated_prefix"`
	Regex         *tableRegex   `json:"safe_regex"`
	CaseSensitive *bool         `json:"case_sensitive"`
	Headers       []tableHeader `json:"headers"`
	Query         []tableHeader `json:"query_parameters"`
}

type tableRegex struct {
	Regex    string `json:"regex"`
	compiled *regexp.Regexp
}

type tableHeader struct {
	Name           string `json:"name"`
	Present        *bool  `json:"present_match"`
	Invert         bool   `json:"invert_match"`
	MissingIsEmpty bool   `json:"treat_missing_header_as_empty"`
	String         *struct {
		Exact *string     `json:"exact"`
		Regex *tableRegex `json:"safe_regex"`
	} `json:"string_match"`
}

// RouteTable reads the routes of the virtual host for this host name on port 80. A kind of match that it does not know fails the test,
// because it could not match as Envoy does.
func (e *Envoy) RouteTable(t testing.TB, host string) RouteTable {
	t.Helper()
	routes, err := e.Routes()
	if err != nil {
		t.Fatal(err)
	}
	var table RouteTable
	for _, route := range routes {
		if route.VirtualHost != host+":80" {
			continue
		}
		read, err := readTableRoute(route)
		if err != nil {
			t.Fatalf("route %s: %v: %s", route.Name, err, route.Raw)
		}
		table = append(table, read)
	}
	return table
}

func readTableRoute(r Route) (TableRoute, error) {
	var route struct {
		Match json.RawMessage `json:"match"`
		Route struct {
			Cluster  string `json:"cluster"`
			Weighted struct {
				Clusters []struct {
					Name string `json:"name"`
				} `json:"clusters"`
			} `json:"weighted_clusters"`
		} `json:"route"`
		Add []struct {
			Header struct {
				Key   string `json:"key"`
				Value string `json:"value"`
			} `json:"header"`
		} `json:"response_headers_to_add"`
	}
	if err := json.Unmarshal(r.Raw, &route); err != nil {
		return TableRoute{}, err
	}
	read := TableRoute{Route: r, Added: map[string]string{}}
	decoder := json.NewDecoder(strings.NewReader(string(route.Match)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&read.match); err != nil {
		return TableRoute{}, err
	}
	if route.Route.Cluster != "" {
		read.Clusters = append(read.Clusters, route.Route.Cluster)
	}
	for _, cluster := range route.Route.Weighted.Clusters {
		read.Clusters = append(read.Clusters, cluster.Name)
	}
	for _, add := range route.Add {
		read.Added[add.Header.Key] = add.Header.Value
	}
	return read, read.match.prepare()
}

// prepare compiles the regular expressions, which must match the whole value.
func (m *tableMatch) prepare() error {
	if m.CaseSensitive != nil && !*m.CaseSensitive {
		return fmt.Errorf("case_sensitive is not supported")
	}
	all := []*tableRegex{m.Regex}
	for _, list := range [][]tableHeader{m.Headers, m.Query} {
		for _, header := range list {
			if header.String != nil {
				all = append(all, header.String.Regex)
			}
		}
	}
	for _, expression := range all {
		if expression == nil {
			continue
		}
		var err error
		if expression.compiled, err = regexp.Compile("^(?:" + expression.Regex + ")$"); err != nil {
			return err
		}
	}
	return nil
}

// First returns the first route that a request matches, or nil.
func (t RouteTable) First(request TableRequest) *TableRoute {
	for i := range t {
		if t[i].match.matches(request) {
			return &t[i]
		}
	}
	return nil
}

func (m tableMatch) matches(request TableRequest) bool {
	switch {
	case m.Path != nil && request.Path != *m.Path,
		m.Prefix != nil && !strings.HasPrefix(request.Path, *m.Prefix),
		m.Separated != nil && request.Path != *m.Separated && !strings.HasPrefix(request.Path, *m.Separated+"/"),
		m.Regex != nil && !m.Regex.compiled.MatchString(request.Path):
		return false
	}
	for _, header := range m.Headers {
		value, present := request.Headers[header.Name]
		if header.Name == ":method" {
			value, present = request.Method, true
		}
		if !header.matches(value, present) {
			return false
		}
	}
	for _, parameter := range m.Query {
		value, present := request.Query[parameter.Name]
		if !parameter.matches(value, present) {
			return false
		}
	}
	return true
}

func (h tableHeader) matches(value string, present bool) bool {
	if !present && h.MissingIsEmpty {
		value, present = "", true
	}
	if h.Present != nil {
		return (present == *h.Present) != h.Invert
	}
	// A missing header matches no value, inverted or not.
	if !present {
		return false
	}
	matched := h.String == nil ||
		(h.String.Exact == nil || *h.String.Exact == value) && (h.String.Regex == nil || h.String.Regex.compiled.MatchString(value))
	return matched != h.Invert
}

// MapHeader returns the same table with other exact values of one header.
func (t RouteTable) MapHeader(name string, value func(string) string) RouteTable {
	var table RouteTable
	for _, route := range t {
		headers := append([]tableHeader(nil), route.match.Headers...)
		for i, header := range headers {
			if header.Name == name && header.String != nil && header.String.Exact != nil {
				exact := value(*header.String.Exact)
				match := *header.String
				match.Exact = &exact
				headers[i].String = &match
			}
		}
		route.match.Headers = headers
		table = append(table, route)
	}
	return table
}
