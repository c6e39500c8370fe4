package simulator

import (
	"strings"
	"time"
)

// recording is a file that is being written.
type recording struct {
	path   string
	began  time.Time
	masked bool
}

// writable reports whether a file can be made: the simulator writes none.
func (s *Switch) writable(path string) bool {
	ok := !strings.HasPrefix(path, "/nosuch")
	if s.Writable != nil {
		s.unlocked(func() { ok = s.Writable(path) })
	}
	return ok
}

// appRecord records the caller: file, limit in seconds, silence threshold, hits
// of silence. The simulated caller is silent, so that with a number of hits it
// ends after so many seconds, with nothing recorded (recording record).
func appRecord(c *Channel, data string) {
	a := arguments(data, 4)
	if a[0] == "" {
		return
	}
	c.set("playback_terminator_used", "")
	if !c.s.writable(a[0]) {
		c.hangup("DESTINATION_OUT_OF_ORDER", true)
		return
	}
	c.s.note(c, Recorded, "", a[0])
	c.tellRecording(evRecordStart, a[0])
	length := time.Duration(-1)
	if limit := atoi(strings.TrimPrefix(a[1], "+")); limit > 0 {
		length = time.Duration(limit) * time.Second
	}
	silent := false
	if hits := atoi(a[3]); hits > 0 {
		if d := time.Duration(hits) * time.Second; length < 0 || d < length {
			length, silent = d, true
		}
	}
	end, recorded := c.idle(length, c.terminator())
	if c.reset { // the socket went away: record takes a channel that is not ready for a failure (measured on 1.11)
		c.hangup("DESTINATION_OUT_OF_ORDER", true)
		return
	}
	if silent && end == finished {
		recorded = 0
		c.set("silence_hits_exhausted", "true")
	}
	ms := int(recorded.Milliseconds())
	c.setInt("record_record_file_size", 44+ms*16)
	c.setInt("record_file_size", 44+ms*16)
	c.setInt("record_seconds", ms/1000)
	c.setInt("record_ms", ms)
	c.setInt("record_samples", ms*8)
	c.resetReadCodec()
	c.tellRecording(evRecordStop, a[0])
}

func (c *Channel) tellRecording(id eventID, path string) {
	if e := c.event(id, fromRecord); e != nil {
		e.add("Record-File-Path", path)
		e.fire()
	}
}

// resetReadCodec is what an application leaves behind that gives the channel a
// read codec of its own for a while: the variables move to the end of the list.
func (c *Channel) resetReadCodec() {
	c.set("read_codec", c.codec.name)
	c.setInt("read_rate", c.codec.rate)
}

// startRecording records the whole session beside whatever runs.
func (c *Channel) startRecording(path string, limit time.Duration) bool {
	if !c.s.writable(path) {
		return false
	}
	for _, r := range c.records {
		if r.path == path {
			return true
		}
	}
	r := &recording{path: path, began: c.s.clock.Now()}
	c.records = append(c.records, r)
	c.s.note(c, Recorded, "session", path)
	c.tellRecording(evRecordStart, path)
	if limit > 0 {
		c.s.after(limit, c.UUID, func(c *Channel) { c.stopRecording(path) })
	}
	return true
}

// stopRecording ends one recording of the session, or with "all" every one.
func (c *Channel) stopRecording(path string) bool {
	found := false
	kept := c.records[:0]
	for _, r := range c.records {
		if r.path != path && !strings.EqualFold(path, "all") {
			kept = append(kept, r)
			continue
		}
		found = true
		ms := int(c.s.clock.Now().Sub(r.began).Milliseconds())
		c.setInt("record_file_size", 44+ms*16)
		c.setInt("record_seconds", ms/1000)
		c.setInt("record_ms", ms)
		c.setInt("record_samples", ms*8)
		c.tellRecording(evRecordStop, r.path)
	}
	c.records = kept
	return found
}

func (c *Channel) stopRecordings() { c.stopRecording("all") }

func (c *Channel) maskRecording(path string, mask bool) bool {
	for _, r := range c.records {
		if r.path == path {
			r.masked = mask
			return true
		}
	}
	return false
}

func appRecordSession(c *Channel, data string) {
	path, rest := cutSpace(strings.TrimLeft(data, " "))
	limit := atoi(strings.TrimPrefix(rest, "+"))
	c.startRecording(path, time.Duration(limit)*time.Second)
}

func appStopRecordSession(c *Channel, data string) { c.stopRecording(data) }
