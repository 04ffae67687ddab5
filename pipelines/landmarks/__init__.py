"""Person, pose, hand and face landmarks: converted networks and the decoding around them.

`pose.find_people` and `pose.read_pose` first, then `hands.read_hands` and `face.read_face` on what they found.
Everything works on numpy arrays in photo pixels with pixel centres at integer + 0.5.
"""
