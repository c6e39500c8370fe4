package luabind_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"callisto/luabind"
)

// What scripts elsewhere can do, each of which docs/coming-from.md must say something about.
var elsewhere = map[string]string{
	"mod_lua: session": `ready answered bridged mediaReady getState hangupCause get_uuid uuid answer preAnswer hangup transfer sleep setAutoHangup
		hangupState destroy waitForAnswer originate setVariable getVariable setPrivate getPrivate getXMLCDR execute streamFile recordFile say
		sayPhrase set_tts_params set_tts_parms speak playAndGetDigits read getDigits collectDigits flushDigits flushEvents detectSpeech
		playAndDetectSpeech setInputCallback unsetInputCallback setHangupHook sendEvent consoleLog consoleLog2`,
	"mod_lua: freeswitch": `consoleLog consoleLog2 consoleCleanLog msleep running getGlobalVariable setGlobalVariable bridge email Session
		API:execute API:executeString API:getTime Event Event:addHeader Event:delHeader Event:getHeader Event:addBody Event:getBody Event:getType
		Event:serialize Event:fire Event:merge Event:setPriority Event:chat_execute Event:chat_send EventConsumer EventConsumer:bind
		EventConsumer:pop EventConsumer:cleanup Dbh JSON Stream IVRMenu DTMF`,
	"TwiML": `<Answer> <Connect> <Dial> <Dial><Number> <Dial><Client> <Dial><Sip> <Dial><Conference> <Dial><Queue> <Enqueue> <Gather> <Hangup>
		<Leave> <Pause> <Pay> <Play> <Record> <Redirect> <Refer> <Reject> <Say> <Sms> <Start><Stream> <Start><Recording> <Start><Siprec>
		<Start><Transcription> <Stop>`,
	"SWML": `ai amazon_bedrock answer cond connect denoise detect_machine enter_queue execute goto hangup join_conference join_room label
		live_transcribe live_translate pay play prompt receive_fax record record_call request return send_digits send_fax send_sms set sip_refer
		sleep stop_denoise stop_record_call stop_tap switch tap transfer unset user_event`,
}

var (
	docLink = regexp.MustCompile(`\[([^\]]+)\]\(([^)]+)\)`)
	docVerb = regexp.MustCompile(`call[:.]([a-z_]+)`)
)

// Every row of docs/coming-from.md names verbs that exist, and tests that do.
func TestComingFrom(t *testing.T) {
	text, err := os.ReadFile("../docs/coming-from.md")
	if err != nil {
		t.Fatal(err)
	}
	var known []string
	for _, v := range luabind.Verbs {
		known = append(known, v.Name)
	}
	for _, f := range luabind.Fields {
		known = append(known, f.Name)
	}
	rows := make(map[string][]string) // by section, the first columns
	section := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if s, ok := strings.CutPrefix(line, "## "); ok {
			section = s
		}
		columns := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| `") || len(columns) != 3 || columns[1] == "Callisto" {
			continue
		}
		name, _, _ := strings.Cut(columns[0][1:], "`")
		rows[section] = append(rows[section], name)
		for _, m := range docVerb.FindAllStringSubmatch(columns[1], -1) {
			if !slices.Contains(known, m[1]) {
				t.Errorf("%s: there is no call:%s", name, m[1])
			}
		}
		links := docLink.FindAllStringSubmatch(columns[2], -1)
		if len(links) == 0 && !strings.HasPrefix(columns[1], "— ") {
			t.Errorf("%s: no test, and no reason why not", name)
		}
		for _, l := range links {
			checkLink(t, name, l[1], l[2])
		}
	}
	for section, names := range elsewhere {
		for name := range strings.FieldsSeq(names) {
			if !slices.Contains(rows[section], name) {
				t.Errorf("%s: there is no row for %s", section, name)
			}
		}
	}
}

// checkLink checks that a link's file exists, and that a test of that name is in it.
func checkLink(t *testing.T, row, name, file string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", file))
	if err != nil {
		t.Errorf("%s: %v", row, err)
		return
	}
	test, sub, _ := strings.Cut(name, "/")
	if strings.HasSuffix(file, "_test.go") && !strings.Contains(string(text), "func "+test+"(") {
		t.Errorf("%s: there is no %s in %s", row, test, file)
	}
	if test == "TestFlows" && !slices.ContainsFunc(flows, func(f flow) bool { return strings.ReplaceAll(f.name, " ", "_") == sub }) {
		t.Errorf("%s: there is no flow %q", row, sub)
	}
}
