-- Reads a customer's log from a cursor. ARGV from 5 on: the cursor's epoch and number, how many
-- entries and how many bytes of payload at most.
--
-- Answers {resumable, epoch, seq, entry, ...}.

local EPOCH, SEQ, LIMIT, MAX_BYTES = ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

-- An entry: when it was recorded (a double), the length of its trace context, that, the payload.
local ENTRY, BEFORE_TRACE, NO_TRACE = '>dI4', 12, 4294967295
-- As many are looked at together: one by one each would be searched for in the list, and all at once
-- might be far more than is wanted.
local CHUNK = 64

local function payload_size(entry)
  local _, trace = struct.unpack(ENTRY, entry)
  if trace == NO_TRACE then trace = 0 end
  return #entry - BEFORE_TRACE - trace
end

local function follow(answer, after)
  local size, count = 0, 0
  while true do
    local entries = redis.call('LRANGE', KEYS[2], after, after + CHUNK - 1)
    for _, entry in ipairs(entries) do
      size = size + payload_size(entry)
      if count > 0 and (size > MAX_BYTES or count >= LIMIT) then return answer end
      count = count + 1
      answer[#answer + 1] = entry
    end
    if #entries < CHUNK then return answer end
    after = after + CHUNK
  end
end

local at = asked()
local answer = { '0', at.epoch, number(at.seq) }
if EPOCH ~= at.epoch or SEQ > at.seq then return answer end
if SEQ < at.seq then
  local after = SEQ - at.seq + redis.call('LLEN', KEYS[2])
  local following = after >= 0 and redis.call('LINDEX', KEYS[2], after)
  if not following or now - struct.unpack('>d', following) > WINDOW then return answer end
  follow(answer, after)
end
answer[1] = '1'
return answer
